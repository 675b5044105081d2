# Copyright 2026 oom_sentinel maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
Abbreviated names of months and weekdays in the locales of glibc, for the dates of `dmesg -T`.

Facts of LC_TIME (abmon, ab_alt_mon, abday), in lower case, without full stops and articles.  A
name may stand for two months (lis: October in Croatian, November in Polish).
"""

import re

# Months that are numbers with a word: Japanese and Chinese, Korean, Mongolian, Vietnamese.
NUMBERED_MONTH = re.compile(r'(\d{1,2}) ?(?:月|월|-р сар)|'
                            r'(?:[Tt]hg|[Tt]háng|Th) ?(\d{1,2})(?!\d)')
# January first.
MONTHS = (
    'ama ark bhi chi dja ean ene eni faoi fer gen ghe ian ini ion j-guer jaan jan january '
    'janv jen jän kob kohi kwe kăr led mqu mut oca ođđj pet pha phe qun s-ɔ san sau saus sii '
    'sij stu sty stë sun sñt sān tammi urt xan xin yan yen zan zen çil ýan ğın ιαν ажь гыйн '
    'сту січ тохс шрк янв яну јан қаң հնվ יאַנ ינו جانفي جنؤری جنوري جنوری يانۋار ينا يناير '
    'ژانویه ޖެނުއަރީ जन जनवरी जानुवारी जाने जानेवारी बैसाख জান জানু ਜਨ જાન્યુ ଜାନୁଆରୀ ஜன జన ಜ '
    'ಜನ ജനു ජන ม.ค ມ.ກ ဂျာန် ဇန် လိူၼ်ၵမ် იან იანვარი ልደት ጃንዩ ጠሐረ ጥሪ ᎤᏃ ᔮᓄ ṣẹ́rẹ́ 一 一月',
    'chk chw col cʼhw fab fbl feabh feb febr february fee fep fev few fib fiw fra fre fur fév '
    'févr fēp gas gearr gro guov gur helmi hla hor hui hwe k-ɔ kup lab luh lut mdu nah nar '
    'ots peb phi shk sib sñs t-arree thang tlh tsi van vas veebr velj yan èrèlè úno şub φεβ '
    'ақп жәаб лют олун пгж феб фев փտր פֿעב פבר شباط شوب فبر فبراير فبروري فرؤری فروري فروری '
    'فوریه فيفري فېۋرال ܫܒܛ ފެބްރުއަރީ जेठ फबरवरी फर फरवरी फ़र फ़रवरी फेब्रु फेब्रुअरी '
    'फेब्रुवारी ফেব ফেব্ৰু ਫ਼ਰ ફેબ્રુ ଫେବୃଆରୀ பிப் ఫిబ్ర ಫೆ ಫೆಬ್ರ ഫെബ്രു පෙබ ก.พ ກ.ພ ဖေ '
    'လိူၼ်သၢမ် ဝှေဝ် თებ თებერვალი ለካቲ ከተተ ካብኽ ፌብሩ ᎧᎦ ᕕᕗ 二 二月',
    'ada bit bře cig e-ɔ fam kov kul kuo maa maalis mac mar march mars març mas mat maw '
    'mayrnt maʻa mbo meu meɣ mie mop moz mrt msi màrt márc márta mäe mär märts mås měr njuk '
    'ožu pan pou puš sad sak sqe str the tlh uya vul wer xam μάρ μαρ бер кул мар нау сак '
    'хәажә ӱрн մար מאַר מרץ آذار ئاز مار مارت مارس مارٕچ مارچ ܐܕܪ މާރޗް अषाढ़ मार्च मार्चि '
    'मार्स মার মার্চ মাৰ্চ ਮਾਰਚ માર્ચ ମାର୍ଚ୍ଚ மார் మార్చి ಮಾ ಮಾರ್ಚ್ മാർ මාර් มี.ค ມ.ນ မတ် '
    'မာတ် လိူၼ်သီႇ მარ მარტი መገበ መጋቢ ማርች ክብላ ᎠᏅ ᒪᔅ ẹrẹ̀nà 三 三月',
    'abr afi afr agd aib aka ape api apl apr april apu arv avr avril avrril awr bal cuoŋ dub '
    'dzi e-o ebr elb eph epr gibl huhti jang kra kwe kwi lam mab mat mme mor nis nîs pae pri '
    'qil see tay tra tsh yeb ápr éwt ìgbé łżë ʻepe απρ апр вшр кві кра муус мш сәу ապր אַפּר '
    'אפר آوریل أبر أبريل أفريل ئاپرېل اپريل اپریل نيسان نیس ܢܝܣܢ އެޕްރީލް अप अप्रिल अप्रेल '
    'अप्रै अप्रैल एप्रि एप्रिल एप्रैल सावोन এপ্রি এপ্রিল এপ্ৰিল ਅਪ੍ਰੈ એપ્રિલ ଅପ୍ରେଲ ஏப் ఏప్రి '
    'ಏ ಏಪ್ರಿ ഏപ്രി เม.ย ມ.ສ လိူၼ်ႁႃႈ အေ ဧပြီ აპრ აპრილი ሚያዝ አኀዘ ኤፕረ ፋጅኺ ᎧᏬ ᐃᐳ 四 四月',
    'aru beal boaldyn cam can cax cèit duu e-k ell geg gic gul hara keg khk kvě maa mae mag '
    'mai maig maj may maz maí maý me mee mei mej mey mies moj mot mud máj môj mē sha shu sup '
    'svi tai touko şu μάι μαΐ ага лаҵ май мам мая мај тра ыам մայ מאי מײַ أيار ئای مئی ماي '
    'مايو مه مي مٓی میٔ مۍ ܐܝܪ މެއި भादो मई मे मेई মে ਮਈ મે ମଇ மே మే ಮೇ മേയ് මැයි พ.ค ພ.ພ မေ '
    'လိူၼ်ႁူၵ်း მაი მაისი ሜይ ክቢቅ ግንባ ግንቦ ᎠᏂ ᒪᐃ ẹ̀bibi 五 五月',
    'birž brá bėr chn cze czy djn eka geas giu haz hez hun iun iyn iýn iġñ i̇yn jen jon jug '
    'juin jun june junh juni juny juu juuni jún jūn kam kesä kho kor lip lix lwi làm m-souree '
    'meh meith met mezh nhl nip o-a pipi qas qer see sil sun suw teg tsp vos wax xun xuñ yun '
    'yün zin zûg ògmh òkúdu čen čer ġun şĕr ιουν ιούν бэс июн июнь мау пдш рашә чер чэр юни '
    'јун հնս יונ ئىيۇن جوان جون جوٗن حزيران حوز يون يونيو ژوئن ܚܙܝܪܢ ޖޫން आसिन जुन जून जूनि '
    'জুন ਜੂਨ જૂન ଜୁନ ஜூன் జూన్ ಜೂ ಜೂನ್ ജൂൺ ජූනි มิ.ย ມິ.ຖ ဂျုန် ဇွန် လိူၼ်ၸဵတ်း ივნ ივნისი '
    'ም/ት ሠንየ ሰነ ጁን ᏕᎭ ᔪᓂ 六 六月',
    'a-k ado agẹmọ arg chl djl gor gou hei heinä hul hōngoi itc iuch iul iyl iúil iýl i̇yl '
    'j-souree jak jiy jol jui juil jul juli july juuli júl jūl kha kho kor kun lai liep lip '
    'lug lui lul lwa lëp lûg maw mor nya phu qad siu srp sul suoi tem tod tqw tîr upu ută uzt '
    'xnt xul yul yül zil čec ιουλ ιούλ июл июль лип ліп от срм шіл юли јул ԥхынгә հլս יול '
    'ئىيۇل تموز تەم جولاءِ جولائی جولاي جولای جويلية جوٗلایی يول يوليو يوليوز ژوئیه ܬܡܘܙ '
    'ޖުލައި कातिक जुल जुला जुलाइ जुलाई जुलै जूलाइ जूलै জুল জুলাই ਜੁਲਾ જુલાઈ ଜୁଲାଇ ஜூலை జులై '
    'ಜು ಜುಲೈ ജൂലൈ ජූලි ก.ค ກ.ລ ဂျူ ဇူ လိူၼ်ပႅတ်ႇ ივლ ივლისი ሐመለ ሓምለ ኰር ጁላይ ᎫᏰ ᔪᓚ 七 七月',
    'abu ag aga ago agt agu aog aok aoû août arh aug august aus avg avo avq awg awo aws awu '
    'aww ağu aŭg borg ct̓é d-ɔ elo eos est gsh hag here juk kan kol leq luanistyn lùna lún '
    'mha ngc ngu oga ogos ogs oug pai pha rgp rugp sid sie srp teb thu tiñ uut win yag zél '
    'ágú ògún ögu öig şur žni ɣuc ʻaok αυγ αύγ авг атыр жні нанҳә сер срл там օգս אוג אױג آب '
    'آقۇست آگسٽ أغس أغسطس أوت ئاب ئاۋغۇست اوت اګست اگست غشت ܐܒ އޮގަސްޓް अग अगस्ट अगस्त अगहन '
    'आगस्टु आगस्थ ऑग ओगस्ट আগ আগস্ট ਅਗ ઑગસ્ટ ଅଗଷ୍ଟ ஆக ఆగ ಆ ഓഗ අගෝ ส.ค ສ.ຫ လိူၼ်ၵဝ်ႈ အဝ် ဩ აგვ '
    'აგვისტო ማርያ ነሐሰ ነሓሰ ኦገስ ᎦᎶ ᐊᒋ ọgọ 八 八月',
    'ami avă cab chi cte cut dait eyl f-ɛ ful gwe gwn her ira khu leo lwe m-fouyir mahu med '
    'mfómh msi ndz nyo nze owewe qel rugs ruj sag sat seb sen sep sept september set sht sin '
    'sip sit slt stb sult syys szept sèp séw tah vie way wrz zář îlo čakč σεπ бал вер идм сен '
    'сент сеп цәыб қыр սեպ סעפּ ספט أيلول ئەی سبت سبتمبر ستمبر سيپٽيمبر سپتامبر سپتمبر '
    'سېنتەبىر شتنبر ܐܝܠܘܠ ސެޕްޓެންބަރ पूस सप्टें सित सितंबर सितम्बर सेप्टेंबर सेप्टेंबरू '
    'सेप्टेम्बर सेबथेज्ब़र সেপ সেপ্ট সেপ্টেম্বর ਸਤੰ સપ્ટે ସେପ୍ଟେମ୍ବର செப் సెప్టెం ಸೆ ಸೆಪ್ಟೆಂ '
    'സെപ്റ്റം සැප් ก.ย ກ.ຍ စက် လိူၼ်သိပ်း သိပ် სექ სექტემბერი መስከ ሴፕቴ ከረመ ያኸኒ ᏚᎵ ᓯᑎ 九 九月',
    'cot dfómh dip dit dwa dàmh eki golg hed her hyd imp ipam j-fouyir jup kṭu lad lis loka '
    'mph nhl och oct october oke oki okt onk ott otu out paź phe puk sik spa spal tet tob tsh '
    'tub ukt ukw urr whi-nu wél wím yar ökt ött ükt říj ɔ-a ɔtb ʻoka οκτ алт жов жьҭ кас окт '
    'шыж қаз հոկ אָקט אוק آڪٽوبر أكت أكتوبر ئۆكتەبىر اكتبر اكتوبر اوْکتوْبر اکتوبر اکتوٗبر '
    'އޮކްޓޫބަރ अकटू अक्टू अक्टूबर अक्टोबर अक्तू अक्तूबर अखथबर आक्टूबरू ऑक्टो ओक्टोबर माघ '
    'অক্টো অক্টোবর ওক্ত ਅਕਤੂ ઑક્ટો ଅକ୍ଟୋବର அக் అక్టో ಅ ಅಕ್ಟೋ ഒക്ടോ ඔක් ต.ค ຕ.ລ '
    'လိူၼ်သိပ်းဢဵတ်း အောက် အံက် ოქტ ოქტომბერი መተሉ ኦክተ ጠቀመ ጥቅም ᏚᏂ ᐊᑦ ọkt ọ̀wàrà 十 十月',
    'aza bélú cük du huk jol kas kit kun lap lapkr lis lwe lës m.houney marras mij ngw nip '
    'nka nob nof nov november now noy noý nuv nuw nvb nën nóv nôv nöw nōv onn pay phai pud '
    'sad samh shin skáb stu tach ugu usi wam whi-ra win xim ɔ-o νοέ νοε абҵ клм лис ліс нов '
    'ное ноя нояб сэт қар նմբ נאָװ נוב نوامبر نوف نوفمبر نومبر نونبر نويابىر نوْوامبر '
    'ނޮވެންބަރ नबेज्ब़र नव नवंबर नवंबरू नवम्बर नोभेम्बर नोव्हें नोव्हेंबर फागुन নবে নভে '
    'নভেম্বর ਨਵੰ નવે ନଭେମ୍ବର நவ నవం ನ ನವೆಂ നവം නෙවැ พ.ย ພ.ຈ နဝ် နို လိူၼ်သိပ်းသွင် ნოე '
    'ნოემბერი ሕዳር ም/ም ኀደረ ኖቬም ᏅᏓ ᓄᕕ ḽar 十一 十一月',
    'abe ara avi bow chr dec december dek des dets dez dhj dic dik dis dix diċ dsb duj déc '
    'dùbh grd gru gruod gòd haki joulu juov kan kax ker kev lit m-ɔ m.nollick mati mng mud '
    "mux n'w nad ngo noll nye pro raš rha ris sak sed siq tes tet tis tsh tīs uku śni δεκ ахс "
    'гру дек дец жел сне тел ԥхынҷ դեկ דעצ דצמ دجنبر دسامبر دسمبر ديس ديسمبر دېكابىر ڊسمبر '
    'ޑިސެންބަރ चैति डिसें डिसेंबर डिसेम्बर दिस दिसंबर दिसम्बर दिसेज्ब़र ॾिसंबरू ডিস ডিসে '
    'ডিসেম্বর ਦਸੰ ડિસે ଡିସେମ୍ବର டிச డిసెం ಡಿ ಡಿಸೆಂ ഡിസം දෙසැ ธ.ค ທ.ວ ဒီ ဒဳ လိူၼ်ၸဵင် დეკ '
    'დეკემბერი ተሕሳ ታሕሳ ኀሠሠ ዲሴም ᎥᏍ ᑎᓯ ọ̀pẹ̀ 十二 十二月',
)
# Monday first, as datetime counts.
WEEKDAYS = (
    'aaɓ ach ajé al alt ari ata bal ber bir cei dil dl du dwo düş dş e etl gofua h hën isn '
    'jel len let lin lit llu lon lts lu luan lun lûn ma maan man mao mbe mdg mma mo mon '
    'monday mos moš mso mun mus mvu mán män må mån mé mön mōn mọn p pan pn po pon pr pyń pzt '
    'pòn pó san sav seg sen siş som spe t2 tn tne ur vuos wix δευ ашә бн да дс душ дш дүш крс '
    "ор пан пн пнд пон шчм երկ ב' מאָנ' د دوشنبه سومرُ ن پير پیر ژءنتروار یەکش ܒ ހޯމަ ओते "
    'चॅ़दुर सम सूमरू सोम सोम: सोमार নিং সোম ਸੋਮ સોમ ସୋମ தி సోమ ಸೋ തി ස จ ຈ མིར་ ཟླ་ စန် လာ '
    'ၸၼ် ორშ ሰኑ ሰኑይ ሰኖ ሰኞ ሳይኖ ᏉᏅᎯ ᓇ ច 一 月 월',
    'an ar ara aŭt bed ben bil bin bir dae di dim ding dm dsg dt dur dë iki ila jem k kab kug '
    'ma mad mak mangal mar maw maŋ meu mth máirt mår o ome ot qib sal se sel sin siş sş t t3 '
    'tal ter ti tir tis tius tli tlt tor ttl tue tuesday tun tus tuz ty týs tū tūs ua ut uto '
    'vhi wa wto wtó wu yt zis çar çax ìsẹ́gun út þri τρι аўт аҩ вт вто втр дцг кжм мя оп сеш '
    "сиш сс уто ше ши երք ג' דינ' بوءںوار ث دووش س سهشنبه منگل منگلُ ܓ އަންގާރަ बाले बोम मंग "
    'मंगर मंगल मंगल: मंगलू मंगळ मंगळवार मङ्गल মঙ্গল লৈবাক ਮੰਗਲ મંગળ ମଙ୍ଗଳ செ మంగళ ಅಂ ಮಂ ചൊ අ '
    'อ ຄ མིར་ ལྷག་ ဂါ ၚာ ၵၢၼ်း სამ ማቆሳ ማክሰ ሠሉስ ሰሉስ ሰሊጝ ታላሸ ᏔᎵᏁ ᓕ អ 二 火 화',
    'aha all arb az budh cho céad dc dic erb gask goo gtu har jerc jn k ke lar lel lotu lrb '
    'mer mhr mi mie migg mik mir mit miy mié mið mwk mèk mèr mér më mër nje on ons pen pin '
    'pul qit qua rab rar rob row sak sie ske sr sre sri st str sze t t4 tha tkel tr tri tsa '
    'we wed wednesday wen wens wo wuk yei æрт çar çer çrş çş çər üçü śro τετ ах вгч кх лх ср '
    "срд сре сри чор чәр ша չրք ד' מיט' بدھ بودهوار ر سێش ٻُڌرُ چ چارشنبه چهارشنبه ܕ ބުދަ बुद "
    'बुध बुध: बुधवार ब्वद सागुन ॿुधरू বুধ য়ুম ਬੁੱਧ બુધ ବୁଧ பு బుధ ಬು ബു බ พ ພ པུར་ ལྷག་ '
    'ပုတ်ႉ ဝါ ဟူး ოთხ ለጓ ረቡዕ ራብዕ አሩዋ ኣረር ᏦᎢᏁ ᐱ ពុ ọjọ́rú 三 水 수',
    'alh alx amh ann c cam caq cax chu cs czw ddg dia dj dju do dunn duor déar dón dör enj '
    'fim fon fro gio giò guru ham huw hós iau jed jerd jeu jo joi jov jue juy kam kan kha kt '
    'kş lex lkm n naa nau ne og pay pen prş pş qui ra shim sin sis sme soi st szt t5 tas taus '
    'thu thursday tkem to tor tuloto tuʻa tāi tọs xov xue yao yaw yow ze zêu čać čet čt ħam '
    "ĵaŭ št πεμ аԥ бс бш еа изр пай пү пәнҗ цпр чет чп чт чтв чцв հնգ דאָנ' ה' برىسوار جمعرات "
    'خ وسپت پ پنجشنبه چواش ܗ ބުރާސްފަތި गुरु बिफे बिर बिसथि बिहि बिही बीर बृहस्पति बृहस्पतिः '
    'बृहस्पती बेरेसतार ब्रस विस्पति सारदी বৃহঃ বৃহষ্পতি বৃহস্পতি শগোল ਵੀਰ ગુરુ ଗୁରୁ வி గురు '
    'ಗು വ്യാ พฤ ພຫ པུར་ སངས་ တိ တေး ၽတ်း ხუთ ሃሙሳ ሐሙስ ሓሙስ ኣምድ ከሚሽ ᏅᎩᏁ ᕿ ព្រ ṋa ọjọ́bọ 四 木 목',
    'ajj aoine arb bear beş bhta bi biy che com cum cüm dih dv er fal falaile fdg fia fr fra '
    'fre free fri friday frí fös gnu gum gwe hla ij im jeh jim jje ju jum mac mwd nen or p pa '
    'pe pel pet pi pia pią piō pj pk pn prai pre pt pá pě r sem sex shukra sts t6 tal tlh van '
    'ven vi vie vin vr vri vén wir wiy zom în ġim şen παρ ахә ба бт жм жум кгр мрб пет пт птн '
    "пят пӏ җом ուր ו' פֿרײַ' ج جمع جمعه جمعہ جُمو جۆمعه پێنش ܥ ހުކުރު जारुम जुमो शुकरार "
    'शुक्कर शुक्र शोकुर सुक सुखुर सूक ইরা শুক্র শুক্ৰ ਸ਼ੁੱਕਰ શુક્ર ଶୁକ୍ର வெ శుక్ర ಶು വെ සි ศ '
    'ສ སངས་ སྤེན་ သိုက် သုၵ်း သော პარ አርባ ኣርብ ዓርበ ዓርቢ ዓርብ ጅምዓ ᏧᎾᎩ ᐅ សុ ṱan ẹtì 五 金 금',
    'alt arf asa bat bhti cer chi cts dis ds faiumu gaa gnd gqi hbi hā jes l la lau ley lr '
    'láv lör lø lør maq mat mem mgc mgq mok moq mug qid qun s sa sab sad sam san sar sat sath '
    'saturday saw sb sbt sed sem sha shani sht sib sn so sob stq sub svd swd szo sàb sáb t7 '
    'tok za zao àbámẹ́ta ýek ş şim şnb šm št σαβ ас бя иш саб сб сбт суб шан шим шмт шо շբթ '
    "ש' שבת بٹوار س سنیچر ش شنبه هفته هەین ڇنڇر ܫ ހޮނިހިރު छंछस ञुहुम बटु शनि शनि: शनी शेनवार "
    'श्नीचर सनि सनिचर सुनि থাং শনি ਸ਼ਨਿੱਚਰ શનિ ଶନି ச శని ಶ ശ සෙ ส ສ ཉི་ སྤེན་ နေ သဝ် შაბ ሰ//ን '
    'ሰ/ሽ ቀዳሚ ቀዳም ቄራ ቅዳሜ ᏈᏕᎾ ᓯ ស 六 土 토',
    'aca ace ahd axd baz bhom caw cn dew dg dib did die dil dim do dom domh du duş ig jed ken '
    'kwe lah lhd lin lp lḥe min mwe nab nd ne ned nia nie niy nj p paz ravi sab sam san sap '
    'sdag sdg sk sn so son sotn su sul sun sunday sv swo sxe sön sø søn sāp sọn ta tapu teo '
    'tsh tum tun v vr yak yek yş zo zón àìkú ħad κυρ ам бс вс вск жк кӏ нд нед ня няд ршр хцб '
    "якш կրկ א' זונ' آتهوار آرتوارُ اتوار ح شەم ي ی یکشنبه ܐ އާދީއްތަ आइत आथ आयतार आर्तवारू "
    'इत एतवार ऐत रबि रवि रविः सिंगे দেও নোং রবি ਐਤ રવિ ରବି ஞா ఆది ಐ ರ ഞാ ඉ อา ອາ ཉི་ ཟླ་ '
    'တိတ်ႉ ဒိုတ် နွေ კვი ሰ//ዓ ሰ/ቅ ሰንበ እሑድ እኁድ ወጋ ᏆᏍᎬ ᓈ អា 日 일',
)
